PY := .venv/bin/python

.PHONY: proto proto-check
proto: ## Generate the stubs beside the contracts
	@$(PY) scripts/stubs.py

proto-check: ## Fail when the stubs differ from the contracts
	@$(PY) scripts/stubs.py --check
