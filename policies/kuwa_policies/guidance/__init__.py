"""Where a wheeled machine is, which way it drives, and how it steers to stay on it."""
