"""The providers of models, one file each. Their SDKs are loaded when they are first asked."""
