"""Lets the tests here import the modules beside them."""
