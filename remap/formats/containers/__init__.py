"""What several formats are kept in: zip archives, HDF5, JSON without doubled names."""
