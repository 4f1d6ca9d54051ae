"""Networks that several methods use: restorer, face parser, encoders, identity."""
