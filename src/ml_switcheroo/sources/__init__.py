"""Where it is known from what kind each module is: live modules, source code, the state dict."""
