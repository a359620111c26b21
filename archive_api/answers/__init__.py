"""HTTP answers after RFC 9110: byte ranges, conditions, names for downloads, problem details."""
