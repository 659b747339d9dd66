"""What a build will find, fetch, take and need, predicted from a sample before anything is spent."""
