"""COM3 of the OPERA platform over CAN: codec, driver, and the machine's controllers emulated."""
