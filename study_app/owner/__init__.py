"""What an owner sees and takes away: overview, live Elo, status, export, deletion."""
