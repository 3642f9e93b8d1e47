# The include graph of src/ against the layer rule.
dev setup test
exec "$python" dev.d/arrows.py src
