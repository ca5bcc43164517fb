"""The product against stated outputs of the PS-MT authors' code, one kind of file a module."""
