"""From measured checkpoints to statements: curves, fits with verdicts, frontiers, lifts. numpy and scipy only.

``curves`` the formulas · ``projection`` the least-squares search · ``resampling`` step order, autocorrelation, blocks ·
``yardstick`` the monotone spline · ``verdict`` the rules · ``fit`` the door · ``composition`` one law from two ·
``frontier`` diversity at a quality · ``lift`` method against method · ``trend`` the monotone model over steps ·
``forecast`` the rest of a run from its beginning · ``forecast_score`` how good that was.
"""
