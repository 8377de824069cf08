"""Prices and Greeks of a book of European options: the pricing formula as plain NumPy, every Greek by differentiation.

    python examples/black_scholes.py

The formula is F. Black and M. Scholes, The pricing of options and corporate liabilities, 1973. Greeks in closed form are
printed beside ours; none of them is used.
"""
from __future__ import annotations

import numpy as np
from scipy.special import erf

import pullback as pb


def normal_cdf(x):
    """The share of a standard normal distribution below x."""
    return 0.5 * (1.0 + erf(x / np.sqrt(2.0)))


def calls(spot, strike, rate, volatility, years):
    """Prices of call options, an option an element; rates and volatilities per year, continuously compounded."""
    deviation = volatility * np.sqrt(years)
    d1 = (np.log(spot / strike) + (rate + 0.5 * volatility**2) * years) / deviation
    return spot * normal_cdf(d1) - strike * np.exp(-rate * years) * normal_cdf(d1 - deviation)


# Options do not depend on each other, so the gradient of the sum holds every option's own derivatives.
@pb.compile_grad(argnums=(0, 2, 3, 4))
def book(spot, strike, rate, volatility, years):
    """The price of one of each option."""
    return np.sum(calls(spot, strike, rate, volatility, years))


@pb.compile_grad
def total_delta(spot, strike, rate, volatility, years):
    """The sum of the deltas: its gradient by the spot prices is gamma."""
    return np.sum(pb.grad(book.__wrapped__)(spot, strike, rate, volatility, years))


def closed_form(spot, strike, rate, volatility, years):
    """Delta, rho, vega, theta and gamma, from the textbook."""
    deviation = volatility * np.sqrt(years)
    d1 = (np.log(spot / strike) + (rate + 0.5 * volatility**2) * years) / deviation
    d2 = d1 - deviation
    density = np.exp(-0.5 * d1 * d1) / np.sqrt(2 * np.pi)
    discounted = strike * np.exp(-rate * years) * normal_cdf(d2)
    theta = spot * density * volatility / (2 * np.sqrt(years)) + rate * discounted
    return normal_cdf(d1), years * discounted, spot * density * np.sqrt(years), theta, density / (spot * deviation)


def main() -> float:
    """Print a table; gives the largest relative difference from the closed form over a thousand options."""
    random = np.random.default_rng(7)
    count = 1000
    market = (
        random.uniform(80.0, 120.0, count), random.uniform(80.0, 120.0, count), random.uniform(0.0, 0.05, count),
        random.uniform(0.1, 0.5, count), random.uniform(0.1, 2.0, count),
    )  # fmt: skip
    value, (delta, rho, vega, theta) = book.value_and_grad(*market)
    gamma = total_delta.grad(*market)
    names = ("delta", "rho", "vega", "theta", "gamma")
    greeks, expected = (delta, rho, vega, theta, gamma), closed_form(*market)

    print(f"{count} calls, worth {value:.2f} together")
    print("   spot strike  " + "".join(f"{name:>10}" for name in names))
    for option in range(5):
        row = "".join(f"{greek[option]:10.4f}" for greek in greeks)
        print(f"{market[0][option]:7.2f}{market[1][option]:7.2f}  {row}")
    worst = max(float(np.max(np.abs(a - b) / np.maximum(np.abs(b), 1e-6))) for a, b in zip(greeks, expected, strict=True))
    print(f"largest relative difference from the closed form: {worst:.1e}")
    return worst


if __name__ == "__main__":
    main()
