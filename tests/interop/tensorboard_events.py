"""Prints as JSON what TensorBoard finds in a folder of event files: `tensorboard_events.py FOLDER`."""

import json
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

events = EventAccumulator(sys.argv[1], size_guidance={"scalars": 0, "images": 0})
events.Reload()
tags = events.Tags()
print(
    json.dumps(
        {
            "scalars": {tag: [[e.step, e.value] for e in events.Scalars(tag)] for tag in tags["scalars"]},
            "images": {
                tag: [
                    {"step": e.step, "width": e.width, "height": e.height, "bytes": len(e.encoded_image_string)}
                    for e in events.Images(tag)
                ]
                for tag in tags["images"]
            },
        }
    )
)
