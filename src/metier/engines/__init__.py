"""The door `engine`. Nothing of our own is behind it yet: every stage runs in this process and its readers."""
