"""The head-end: authoritative balances, commands to meters, and protection from wrong cuts.

This file stays empty of code so that importing the contract (`headend.wire`) stays cheap.
"""
