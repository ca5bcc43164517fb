"""psmt-viz against stated outputs of the PS-MT authors' code; one module per kind of output."""
