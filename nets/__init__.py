"""Networks: layers, anchors, box coder, matching, losses and detections of SSD."""
