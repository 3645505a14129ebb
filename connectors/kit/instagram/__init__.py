"""What Instagram's own login needs: its app, its refresh."""
