"""The commands, one file each; the file's name is the command's. Method commands are made from the registry."""
