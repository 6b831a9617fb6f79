"""What is asked: one file for each kind of traffic, and where its figures come from."""
