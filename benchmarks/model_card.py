"""What the packaged classifier does on simulated galaxies: the figures of its card.

python benchmarks/model_card.py
"""

import warnings

import numpy as np

from galmerge_da import classify, simulate
from galmerge_da.exceptions import InputWarning
from galmerge_da.metrics import roc_auc


def main():
    warnings.simplefilter("ignore", InputWarning)  # bands by wavelength
    for survey, n in (("sdss-jpeg", 1500), ("sdss", 900), ("decals", 900)):
        galaxies = simulate(n, survey, seed=2022)
        for turns in (False, True):
            probability = np.asarray(classify(galaxies, survey=survey, turns=turns)["merger_prob"], float)
            truth = np.asarray(galaxies["label"])
            print(f"{survey}, {'eight turns' if turns else 'one orientation'}: AUC {roc_auc(truth, probability):.3f}")
            if survey != "sdss-jpeg":
                continue
            for stage in dict.fromkeys(galaxies["stage"]):
                own = np.asarray(galaxies["stage"]) == stage
                some = own | (truth == 0)
                merger = truth[own][0]
                auc = f"AUC {roc_auc(truth[some], probability[some]):.3f}, " if merger else ""
                print(f"  {stage}: {auc}share above 0.5 {np.mean(probability[own] > 0.5):.2f}")


if __name__ == "__main__":
    main()
