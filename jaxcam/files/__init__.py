"""Files that several parts read and write: pictures, class names, whole files and their digests."""
