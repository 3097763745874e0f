"""The OCI distribution client: endpoints, credentials, tokens, manifests and blobs. The only user of urllib3; runs in worker threads."""
