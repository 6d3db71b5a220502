"""An experiment on live traffic: two models, 5,000 units, labels that come late, and the verdict."""
