"""How a simulated array is read: products, convolutions, conversions and operating points."""
