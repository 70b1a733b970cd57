"""From measured checkpoints to statements: curves, fits with verdicts, frontiers, lifts. numpy and scipy only.

``curves`` the formulas · ``projection`` the least-squares search · ``resampling`` step order, autocorrelation, blocks ·
``yardstick`` the monotone spline · ``rivals`` AICc and left-out blocks · ``profile``, ``intervals`` three kinds of interval ·
``verdict`` the rules · ``fit`` the door · ``composition`` one law from two · ``endpoint`` where a law ends · ``pooling`` one curve for
many · ``both_axes`` errors in x too (odrpack) · ``frontier`` diversity at a quality · ``lift`` method against method ·
``frontier_test``, ``simultaneous`` whole frontiers and their band · ``multiple`` many methods · ``power`` how many seeds ·
``trend`` the monotone model over steps · ``drift`` diversity through the entropy · ``prefix``, ``future``, ``forecast`` the rest of a run
from its beginning · ``forecast_score`` how good that was · ``calibrate`` what forecasts learn from finished runs.
"""
