"""What ours is compared with: installed libraries, and published formulas where no library has them."""
