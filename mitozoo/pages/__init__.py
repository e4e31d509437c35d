"""What all pages that mitozoo writes share: their style, their head, and a policy that lets them load nothing."""
