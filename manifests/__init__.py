"""What a dataset is on disk: the contract between `pipeline`, which writes it, and `train`, its reader."""
