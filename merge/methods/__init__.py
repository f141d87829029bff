"""One file a method; the file's name is the method's. Nothing is listed here: the registry scans this folder."""
