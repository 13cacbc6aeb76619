"""The course's figures: `style` holds what all of them share, each other module draws for one notebook."""
