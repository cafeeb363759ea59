using Kwik.Data;

namespace Kwik.Transfer;

/// <summary>The trees that were used last, up to a number of bytes. Not safe for concurrent use.</summary>
internal sealed class TreeMemory(long maxBytes)
{
    // Beside the hashes: the tree, its offer, the path, and the two entries here.
    private const int Overhead = 1024;

    private readonly Dictionary<string, LinkedListNode<(string Path, FileStamp Stamp, ContentTree Tree)>> _byPath = [];
    private readonly LinkedList<(string Path, FileStamp Stamp, ContentTree Tree)> _byUse = new();
    private long _bytes;

    /// <summary>The tree of a file that is as the stamp says; null when it is not here.</summary>
    public ContentTree? Find(string path, FileStamp stamp)
    {
        if (!_byPath.TryGetValue(path, out var node) || node.Value.Stamp != stamp)
        {
            return null;
        }

        _byUse.Remove(node);
        _byUse.AddFirst(node);
        return node.Value.Tree;
    }

    /// <summary>Adds a tree, in place of one that the file had before; others may have to go, this one stays.</summary>
    public void Add(string path, FileStamp stamp, ContentTree tree)
    {
        if (_byPath.TryGetValue(path, out var old))
        {
            Remove(old);
        }

        _byPath.Add(path, _byUse.AddFirst((path, stamp, tree)));
        _bytes += SizeOf(tree);
        while (_bytes > maxBytes && _byUse.Last != _byUse.First)
        {
            Remove(_byUse.Last!);
        }
    }

    private static long SizeOf(ContentTree tree) => tree.Leaves.Length + Overhead;

    private void Remove(LinkedListNode<(string Path, FileStamp Stamp, ContentTree Tree)> node)
    {
        _byUse.Remove(node);
        _byPath.Remove(node.Value.Path);
        _bytes -= SizeOf(node.Value.Tree);
    }
}
