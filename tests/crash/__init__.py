"""What kill -9 leaves behind, at named moments of the server and of the engine."""
