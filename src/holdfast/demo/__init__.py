"""Shows a conversation going on while its nodes are killed: `holdfast demo failover`."""
