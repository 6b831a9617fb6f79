"""What may not be asked, and what may not be said: rules on content, for requests and answers."""
