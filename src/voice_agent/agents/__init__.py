"""Agents: YAML files that say who takes a call, and the book in which a server looks them up."""
