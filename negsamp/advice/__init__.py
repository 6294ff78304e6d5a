"""Advice on samplers for a graph, before any training: what they gained on others, and how sure that is."""

from negsamp.advice.advise import Advice, SamplerAdvice, advise, describe_sampler
from negsamp.advice.forecast import (
    GENERATED,
    INTERVAL,
    REAL,
    Extrapolation,
    Forecast,
    Forecasters,
    Reason,
    StructuralForecast,
    StructuralForecaster,
    fit_structural,
    predictors_of,
    read_evidence,
    validate_forecasts,
)
from negsamp.advice.words import advice_text

__all__ = [
    "GENERATED",
    "INTERVAL",
    "REAL",
    "Advice",
    "Extrapolation",
    "Forecast",
    "Forecasters",
    "Reason",
    "SamplerAdvice",
    "StructuralForecast",
    "StructuralForecaster",
    "advice_text",
    "advise",
    "describe_sampler",
    "fit_structural",
    "predictors_of",
    "read_evidence",
    "validate_forecasts",
]
