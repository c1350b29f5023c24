"""What backends share that send over sockets, by whichever library."""
