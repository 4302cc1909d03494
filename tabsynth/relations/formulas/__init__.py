"""Rules by which a formula of other columns determines a number: maxima, tariffs, formulas by group."""
