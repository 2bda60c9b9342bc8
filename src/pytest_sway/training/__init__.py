"""What training left behind: optimizer states, logs, the folders of a dlm store."""
