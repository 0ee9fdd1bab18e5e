"""CANopen joint sensors: encoders (CiA DS-406) and inclinometers (CiA DS-410)."""
