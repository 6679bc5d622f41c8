"""What a person looks at: the summary in the terminal, and the page of pictures."""
