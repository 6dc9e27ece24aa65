"""Where bytes rest. A backend knows keys, bytes, versions and leases; never messages or JSON."""
