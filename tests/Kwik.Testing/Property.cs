using FsCheck;
using FsCheck.Fluent;
using Xunit;

namespace Kwik.Testing;

/// <summary>Runs a check on random values; a failure prints the shrunk value and the seed that replays it.</summary>
internal static class Property
{
    /// <summary>Runs the check on <paramref name="count"/> random values.</summary>
    public static void Holds<T>(Gen<T> values, Action<T> check, int count = 1000) =>
        Check.One(Config.QuickThrowOnFailure.WithMaxTest(count), Prop.ForAll(values.ToArbitrary(), check));

    /// <summary>Runs the check on random lists; one that fails is shrunk by leaving out elements.</summary>
    public static void HoldsForLists<T>(Gen<T> elements, int maxLength, Action<List<T>> check, int count = 1000)
    {
        Gen<List<T>> lists = Gen.Choose(0, maxLength).SelectMany(length => elements.ListOf(length)).Select(list => list.ToList());
        Check.One(Config.QuickThrowOnFailure.WithMaxTest(count), Prop.ForAll(Arb.From(lists, Shorter), CheckAndPrintAll));

        void CheckAndPrintAll(List<T> list)
        {
            try
            {
                check(list);
            }
            catch (Exception e)
            {
                // FsCheck prints the first few elements only.
                Assert.Fail($"[{string.Join(", ", list)}]: {e}");
            }
        }
    }

    private static IEnumerable<List<T>> Shorter<T>(List<T> list)
    {
        for (int chunk = list.Count / 2; chunk > 0; chunk /= 2)
        {
            for (int start = 0; start + chunk <= list.Count; start += chunk)
            {
                yield return [.. list[..start], .. list[(start + chunk)..]];
            }
        }
    }
}
