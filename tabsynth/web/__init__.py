"""The local web page of `tabsynth serve`."""
