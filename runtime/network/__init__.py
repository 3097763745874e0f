"""Networks of containers: addresses (``ipam``), links (``bridge``), rules (``firewall``), names (``resolver``), and who makes them (``worker``)."""
