"""Networks of containers: addresses, links, firewall, names, and the process that makes them."""
