"""What SAE J1939 and ISO 11783 share: identifiers, names, address claim. No bus, no clock."""
